import { ok, type Result, refuse } from "../core/result.ts";

/**
 * One JSON-RPC call over HTTP, for what a node offers beyond the standard methods.
 * Refuses with `chain_unavailable` when the node does not answer in time or answers with an error.
 */
export async function callNode(
  url: string,
  method: string,
  params: readonly unknown[] = [],
  waitMs = 30_000,
): Promise<Result<unknown>> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      signal: AbortSignal.timeout(waitMs),
    });
    const answer: unknown = await response.json();
    if (typeof answer === "object" && answer !== null && "result" in answer) return ok(answer.result);
    return refuse("chain_unavailable", `${method} failed: ${JSON.stringify(answer)}`);
  } catch (error) {
    return refuse(
      "chain_unavailable",
      `${method} got no answer from ${url}: ${error instanceof Error ? error.message : error}`,
    );
  }
}
