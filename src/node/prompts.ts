import { z } from "zod";
import type { EngineMessage } from "../core/engine.ts";
import { parseJson } from "../protocol/parse.ts";

const messagesSchema = z.array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() })).min(1);

/** The messages that a receipt's prompt is; undefined for the bare text of a completion. */
export function messagesOf(prompt: string): readonly EngineMessage[] | undefined {
  const json = parseJson(prompt);
  return json.ok ? messagesSchema.safeParse(json.value).data : undefined;
}

/** What was asked last; the prompt itself where it is no conversation. */
export function questionOf(prompt: string): string {
  return messagesOf(prompt)?.findLast(({ role }) => role === "user")?.content ?? prompt;
}
