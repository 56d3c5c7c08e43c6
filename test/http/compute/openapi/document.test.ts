import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MICROVERSIONS } from '../../../../http/compute/microversions.ts';
import { examplesOf, openApiDocument } from '../../../../http/compute/openapi/document.ts';
import { ROUTES } from '../../../../http/compute/routes.ts';
import { compileBody } from '../../../../http/kit/schema.ts';
import { openRig } from '../rig.ts';
import type { Rig } from '../rig.ts';
import { DOCUMENT_SHAPE } from './shape.ts';

const document = JSON.parse(JSON.stringify(openApiDocument(ROUTES, '2.104'))) as {
  paths: {
    [path: string]: {
      [method: string]: {
        operationId: string;
        requestBody?: { content: { 'application/json': { schema: object; examples: { [name: string]: { value: unknown } } } } };
      };
    };
  };
};
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).flatMap(([method, operation]) => (method === 'parameters' ? [] : [{ path, method, operation }])),
);

describe('the OpenAPI document', () => {
  it('has the shape that version 3.1 asks for', () => {
    const validate = new Ajv2020({ strict: false, allErrors: true }).compile(DOCUMENT_SHAPE);
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
  });

  it('names every parameter of each path, every operation once, and nothing that is not there', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    const shapes = Object.keys(document.paths).map((path) => path.replaceAll(/\{[^}]*\}/g, '{}'));
    expect(new Set(shapes).size).toBe(shapes.length);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => (path ?? '').split('/'));
    const dangling = references.filter(
      (path) => path.reduce<unknown>((node, name) => (node !== null && typeof node === 'object' ? Reflect.get(node, name) : undefined), document) === undefined,
    );
    expect(dangling).toEqual([]);
  });

  it('has every route of the table', () => {
    const missing = ROUTES.filter(({ method, path }) => {
      const shape = path.replaceAll(/:[A-Za-z_]+(\([^)]*\))?/g, '{}');
      return !operations.some((one) => one.method === method.toLowerCase() && one.path.replaceAll(/\{[^}]*\}/g, '{}') === shape);
    });
    expect(missing.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });

  it('holds schemas that are JSON Schema, and examples that they take', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
    const wrong = operations.flatMap(({ path, method, operation }) => {
      const content = operation.requestBody?.content['application/json'];
      if (content === undefined) return [];
      expect(ajv.validateSchema(content.schema), `${method} ${path}`).toBe(true);
      const validate = ajv.compile(content.schema);
      return Object.entries(content.examples)
        .filter(([, { value }]) => !validate(value))
        .map(([name]) => `${method} ${path} ${name}: ${ajv.errorsText(validate.errors)}`);
    });
    expect(wrong).toEqual([]);
  });

  it('gives examples that the API itself takes', () => {
    const wrong = ROUTES.flatMap((route) =>
      examplesOf(route).flatMap(({ version, example }) => {
        try {
          if (route.body !== undefined) compileBody(route.body)(example, version, false);
          return [];
        } catch (error) {
          return [`${route.method} ${route.path} ${route.action ?? ''} 2.${version}: ${JSON.stringify(example)}: ${String(error)}`];
        }
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('says what the rules are and in which versions a route is there', () => {
    const text = JSON.stringify(document.paths['/servers/{id}/tags']);
    expect(text).toContain('"x-microversions":"2.26 to 2.104"');
    expect(text).toContain('os_compute_api:os-server-tags:update_all');
  });
});

describe('GET /v2.1/openapi.json', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await openRig();
  });
  afterAll(() => rig.close());

  it('needs no token', async () => {
    const answer = await rig.ask('GET', '/v2.1/openapi.json', { token: null });
    expect([answer.status, answer.at('openapi'), answer.headers['content-type']]).toEqual([200, '3.1.1', 'application/json']);
    expect(answer.body).toEqual(JSON.parse(JSON.stringify(openApiDocument(ROUTES, `2.${MICROVERSIONS.max}`))));
  });

  it('is only read', async () => {
    const answer = await rig.ask('POST', '/v2.1/openapi.json', { token: null, body: {} });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET']);
  });
});
