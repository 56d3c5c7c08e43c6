/** What an OpenAPI 3.1 document must be, as far as this project's has parts of it: own words, JSON Schema 2020-12. */
const named = (items: object): object => ({ type: 'object', additionalProperties: items });
const reference = { type: 'object', required: ['$ref'], properties: { $ref: { type: 'string', pattern: '^#/components/' } } };
const schema = { type: ['object', 'boolean'] };

const mediaType = {
  type: 'object',
  properties: {
    schema,
    examples: named({ type: 'object', properties: { summary: { type: 'string' }, value: true }, required: ['value'], additionalProperties: false }),
  },
  unevaluatedProperties: false,
};

const header = {
  anyOf: [reference, { type: 'object', required: ['schema'], properties: { description: { type: 'string' }, schema }, additionalProperties: false }],
};

const response = {
  anyOf: [
    reference,
    {
      type: 'object',
      required: ['description'],
      properties: { description: { type: 'string' }, headers: named(header), content: named(mediaType) },
      additionalProperties: false,
    },
  ],
};

const parameter = {
  anyOf: [
    reference,
    {
      type: 'object',
      required: ['name', 'in', 'schema'],
      properties: {
        name: { type: 'string', minLength: 1 },
        in: { enum: ['query', 'header', 'path', 'cookie'] },
        required: { type: 'boolean' },
        description: { type: 'string' },
        style: { enum: ['form', 'simple'] },
        explode: { type: 'boolean' },
        example: true,
        schema,
      },
      patternProperties: { '^x-': true },
      additionalProperties: false,
      anyOf: [
        { properties: { in: { enum: ['query', 'header', 'cookie'] } } },
        { required: ['required'], properties: { in: { const: 'path' }, required: { const: true } } },
      ],
    },
  ],
};

const operation = {
  type: 'object',
  required: ['operationId', 'responses'],
  properties: {
    operationId: { type: 'string', pattern: '^[A-Za-z0-9-]+$' },
    tags: { type: 'array', items: { type: 'string' }, uniqueItems: true },
    summary: { type: 'string' },
    deprecated: { type: 'boolean' },
    description: { type: 'string' },
    parameters: { type: 'array', items: parameter, uniqueItems: true },
    requestBody: {
      type: 'object',
      required: ['content'],
      properties: { required: { type: 'boolean' }, content: named(mediaType) },
      additionalProperties: false,
    },
    responses: { type: 'object', minProperties: 1, patternProperties: { '^[1-5][0-9]{2}$': response }, additionalProperties: false },
  },
  patternProperties: { '^x-': true },
  additionalProperties: false,
};

export const DOCUMENT_SHAPE = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['openapi', 'info', 'paths'],
  properties: {
    openapi: { type: 'string', pattern: '^3\\.1\\.\\d+$' },
    info: {
      type: 'object',
      required: ['title', 'version'],
      properties: {
        title: { type: 'string' },
        version: { type: 'string' },
        description: { type: 'string' },
        license: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, identifier: { type: 'string' } }, additionalProperties: false },
      },
      additionalProperties: false,
    },
    servers: { type: 'array', items: { type: 'object', required: ['url'], properties: { url: { type: 'string' } } } },
    security: { type: 'array', items: named({ type: 'array', items: { type: 'string' } }) },
    tags: { type: 'array', items: { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 1 } } }, uniqueItems: true },
    paths: {
      type: 'object',
      patternProperties: {
        '^/': {
          type: 'object',
          properties: { parameters: { type: 'array', items: parameter } },
          patternProperties: { '^(get|put|post|delete)$': operation },
          additionalProperties: false,
        },
      },
      additionalProperties: false,
    },
    components: {
      type: 'object',
      properties: {
        schemas: named(schema),
        responses: named(response),
        parameters: named(parameter),
        headers: named(header),
        securitySchemes: named({
          type: 'object',
          required: ['type', 'in', 'name'],
          properties: { type: { const: 'apiKey' }, in: { const: 'header' }, name: { type: 'string' } },
        }),
      },
      propertyNames: { enum: ['schemas', 'responses', 'parameters', 'headers', 'securitySchemes'] },
    },
  },
  additionalProperties: false,
};
