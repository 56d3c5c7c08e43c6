/**
 * A protocol maps a message type to its body and its reply. Message and reply types are derived from it, so a wrong
 * message, a missing field or a wrong reference does not compile. Bodies are plain JSON data; a body's members lie
 * beside `type`.
 */
export type Protocol = { readonly [type: string]: { readonly body: object; readonly reply: unknown } };

export type MessageOf<P extends Protocol> = { [T in keyof P & string]: { readonly type: T } & P[T]['body'] }[keyof P & string];
export type MessageWith<P extends Protocol, T extends keyof P & string> = { readonly type: T } & P[T]['body'];
export type ReplyOf<P extends Protocol, T extends keyof P & string> = P[T]['reply'];

/** A message whose protocol is not known here: what the runtime carries. */
export type AnyMessage = { readonly type: string };
