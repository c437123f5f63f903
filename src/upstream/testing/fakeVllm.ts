import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/**
 * A vLLM server's endpoints for completions and adapters, with the statuses and bodies of vLLM 0.8 to 0.11 (`serving_models.py`): a name that is loaded
 * twice is a 400, one that is not there a 404, and so is every route where adapters were not switched on. It says what adapter answered.
 */
export class FakeVllm {
  readonly adapters = new Map<string, string>();
  /** Each call, in the order in which they came: `load folder`, `unload folder`, `chat model`. */
  readonly calls: string[] = [];
  /** Adapters held at most, as `--max-cpu-loras`. */
  adaptersMax = Number.POSITIVE_INFINITY;
  /** Most adapters that were loaded at once. */
  adaptersSeen = 0;
  isEnabled = true;
  loadMs = 5;
  answerMs = 2;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/v1`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What a restart forgets. */
  restart(): void {
    this.adapters.clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "GET" && request.url === "/v1/models") {
      const names = ["base", ...this.adapters.keys()];
      return json(response, 200, { object: "list", data: names.map((id) => ({ id, object: "model" })) });
    }
    let text = "";
    for await (const part of request) text += String(part);
    const body: Readonly<Record<string, unknown>> = JSON.parse(text);
    const name = String(body["lora_name"] ?? "");
    const url = request.url ?? "";
    if (url.endsWith("/chat/completions")) return this.#chat(String(body["model"]), response);
    if (!this.isEnabled) return json(response, 404, { detail: "Not Found" });
    if (url === "/v1/load_lora_adapter") return this.#load(name, String(body["lora_path"] ?? ""), response);
    if (url === "/v1/unload_lora_adapter") return this.#unload(name, response);
    return json(response, 404, { detail: "Not Found" });
  }

  async #load(name: string, folder: string, response: ServerResponse): Promise<void> {
    this.calls.push(`load ${folder}`);
    await new Promise((resolve) => setTimeout(resolve, this.loadMs));
    if (this.adapters.has(name))
      return error(response, 400, "InvalidUserInput", `The lora adapter '${name}' has already been loaded.`);
    if (folder.includes("missing"))
      return error(response, 404, "NotFoundError", `Loading lora ${name} failed: No adapter found for ${folder}`);
    if (this.adapters.size >= this.adaptersMax) return error(response, 400, "BadRequestError", "No free lora slots");
    this.adapters.set(name, folder);
    this.adaptersSeen = Math.max(this.adaptersSeen, this.adapters.size);
    response.end(`Success: LoRA adapter '${name}' added successfully.`);
  }

  #unload(name: string, response: ServerResponse): void {
    this.calls.push(`unload ${this.adapters.get(name)}`);
    if (!this.adapters.delete(name))
      return error(response, 404, "NotFoundError", `The lora adapter '${name}' cannot be found.`);
    response.end(`Success: LoRA adapter '${name}' removed successfully.`);
  }

  async #chat(model: string, response: ServerResponse): Promise<void> {
    const answer = model === "base" ? "base" : this.adapters.get(model);
    this.calls.push(`chat ${answer ?? model}`);
    if (answer === undefined) return error(response, 404, "NotFoundError", `The model \`${model}\` does not exist.`);
    await new Promise((resolve) => setTimeout(resolve, this.answerMs));
    response.setHeader("content-type", "text/event-stream");
    const chunk = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
    chunk({ choices: [{ delta: { content: answer } }] });
    await new Promise((resolve) => setTimeout(resolve, this.answerMs));
    // An adapter that is unloaded under a request is what must never happen.
    const stillThere = model === "base" || this.adapters.has(model);
    chunk({ choices: [{ delta: { content: stillThere ? "" : " (lost)" }, finish_reason: "stop" }] });
    chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
    response.end("data: [DONE]\n\n");
  }
}

function error(response: ServerResponse, code: number, type: string, message: string): void {
  json(response, code, { error: { message, type, param: null, code } });
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
