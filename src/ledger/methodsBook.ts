import { METHODS_BYTES_MAX } from "../core/methods.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Writer } from "./writer.ts";

/** The combinations of methods that this ledger attributes by. */
export class MethodsBook {
  readonly #writer: Writer;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** Publishes the text of a combination in the journal, once however often it is asked; resolves when it is durable. */
  publish(text: Uint8Array): Promise<Result<void>> {
    return this.#writer.run((batch) => {
      if (text.length === 0 || text.length > METHODS_BYTES_MAX)
        return refuse("invalid_request", `a combination of methods has 1 to ${METHODS_BYTES_MAX} bytes`);
      if (!this.#writer.state.methods.has(text)) batch.add({ kind: "methods", text });
      return ok(() => undefined);
    });
  }
}
