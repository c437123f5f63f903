import { parentPort } from "node:worker_threads";
import { failed } from "../../core/engine.ts";
import { assert } from "../../core/result.ts";
import { serveEngine } from "../workerProtocol.ts";

/** A worker for tests: repeats the last message word by word. `crash`, `refuse`, `slow` and `broken` do what they say. */
assert(parentPort !== null, "this module runs in a worker thread");
serveEngine(parentPort, {
  async *complete(request, signal) {
    const said = request.messages.at(-1)?.content ?? "";
    if (said === "crash") process.exit(7);
    if (said === "refuse") {
      yield [failed("invalid_request", "no")];
      return;
    }
    if (said === "broken") throw new Error("a bug");
    const words = said === "slow" ? Array<string>(1_000).fill("tick ") : said.split(/(?<= )/);
    const kept = words.slice(0, request.maxTokens);
    for (const word of kept) {
      if (said === "slow") await new Promise((resolve) => setTimeout(resolve, 5));
      if (signal.aborted) return;
      yield [{ type: "text", text: word }];
    }
    yield [
      { type: "usage", tokensIn: words.length, tokensOut: kept.length },
      { type: "end", reason: kept.length < words.length ? "length" : "stop" },
    ];
  },
});
