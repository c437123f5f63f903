import { channel } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

const documentSchema = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        responses: z.record(z.string(), z.object({ content: z.record(z.string(), z.unknown()).optional() })),
      }),
    ),
  ),
});

/** Notes what a server answers, so that it can be held against what its OpenAPI document says of the path: status and media type of each success. */
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
      const [method = "", path = "", status = "", type = ""] = answer.split(" ");
      return !patterns.some(({ pattern, item }) => {
        const documented = pattern.test(path) ? item[method]?.responses[status] : undefined;
        if (documented === undefined) return false;
        return documented.content === undefined ? type === "" : type in documented.content;
      });
    });
  }

  #note(event: unknown): void {
    const { request, response } = z.looseObject({ request: z.unknown(), response: z.unknown() }).parse(event);
    if (!isRequest(request) || !isResponse(response) || request.socket.localPort !== this.#port) return;
    if (response.statusCode >= 400 || request.method === "HEAD" || request.method === "OPTIONS") return;
    const path = (request.url ?? "").split("?")[0];
    const type = /\r\ncontent-type: ([^;\r]*)/i.exec(String(Reflect.get(response, "_header")))?.[1] ?? "";
    this.#answers.add(`${request.method?.toLowerCase()} ${path} ${response.statusCode} ${type}`);
  }
}

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
