import { channel } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

const documentSchema = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        responses: z.record(
          z.string(),
          z.object({
            content: z.record(z.string(), z.unknown()).optional(),
            headers: z.record(z.string(), z.unknown()).optional(),
          }),
        ),
      }),
    ),
  ),
});

/** Notes what a server answers, so that it can be held against what its OpenAPI document says of the path: status and media type of each success, and the headers that are not HTTP's own. */
export class AnswerWatch {
  readonly #port: number;
  readonly #answers = new Set<string>();
  readonly #listener = (event: unknown) => this.#note(event);

  constructor(port: number) {
    this.#port = port;
    finished.subscribe(this.#listener);
  }

  /** What was answered and is not in the document. */
  undocumented(document: unknown): readonly string[] {
    finished.unsubscribe(this.#listener);
    const { paths } = documentSchema.parse(document);
    const patterns = Object.entries(paths).map(([path, item]) => ({ pattern: patternOf(path), item }));
    return [...this.#answers].filter((answer) => {
      const [method = "", path = "", status = "", names = "", type = ""] = answer.split(" ");
      return !patterns.some(({ pattern, item }) => {
        const documented = pattern.test(path) ? item[method]?.responses[status] : undefined;
        if (documented === undefined) return false;
        if (names.split(",").some((name) => name !== "" && !(name in (documented.headers ?? {})))) return false;
        return documented.content === undefined ? type === "" : type in documented.content;
      });
    });
  }

  #note(event: unknown): void {
    const { request, response } = z.looseObject({ request: z.unknown(), response: z.unknown() }).parse(event);
    if (!isRequest(request) || !isResponse(response) || request.socket.localPort !== this.#port) return;
    if (response.statusCode >= 400 || request.method === "HEAD" || request.method === "OPTIONS") return;
    const path = (request.url ?? "").split("?")[0];
    const head = String(Reflect.get(response, "_header")).toLowerCase();
    const type = /\r\ncontent-type: ([^;\r]*)/.exec(head)?.[1] ?? "";
    const names = [...head.matchAll(/\r\n([^:\r]+):/g)]
      .map(([, name = ""]) => name)
      .filter((name) => !ofHttp.has(name));
    this.#answers.add(`${request.method?.toLowerCase()} ${path} ${response.statusCode} ${names} ${type}`);
  }
}

/** RFC 9110 to 9112, RFC 6266, the Fetch standard's, and what proxies are told. */
const ofHttp = new Set([
  ...["cache-control", "connection", "content-disposition", "content-length", "content-type", "date", "keep-alive"],
  ...["transfer-encoding", "vary", "x-accel-buffering", "access-control-allow-origin", "access-control-allow-methods"],
  ...["access-control-allow-headers", "access-control-expose-headers", "access-control-max-age"],
]);

const finished = channel("http.server.response.finish");

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/\{path\}|\{file\}/g, ".+").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
}

function isRequest(value: unknown): value is IncomingMessage {
  return typeof value === "object" && value !== null && "socket" in value;
}

function isResponse(value: unknown): value is ServerResponse {
  return typeof value === "object" && value !== null && "statusCode" in value;
}
