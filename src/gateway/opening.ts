import { fromHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { nativeSha256 } from "../ledger/nativeSha256.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";
import { type Opening, openingSchema } from "../protocol/receipts.ts";
import { hexText, hexTexts } from "./hexText.ts";

/**
 * What opens a receipt: the journal holds sha256(salt ‖ text) of the prompt and of the answer, the node keeps salts, texts and evidence.
 * Erasing the opening leaves every proof of the journal intact.
 */
export const SALT_BYTES = 16;

const SCRATCH_BYTES = 65_536;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** sha256(salt ‖ text), by the platform's own function over one buffer: a text that fits needs no other. */
export function saltedHash(salt: Uint8Array, text: string): Uint8Array {
  const bytesMax = salt.length + 3 * text.length;
  const buffer = bytesMax > SCRATCH_BYTES ? Buffer.allocUnsafe(bytesMax) : scratch;
  buffer.set(salt);
  const length = salt.length + buffer.write(text, salt.length, "utf8");
  return nativeSha256(buffer.subarray(0, length));
}

export function writeOpening(
  salts: { readonly prompt: Uint8Array; readonly answer: Uint8Array },
  prompt: string,
  answer: string,
  evidence: Opening["evidence"],
  more: Omit<Partial<Opening>, "v" | "evidence"> = {},
): string {
  const [promptSalt, answerSalt] = hexTexts([salts.prompt, salts.answer]);
  const opening: Opening = {
    v: 1,
    promptSalt: `0x${promptSalt}`,
    answerSalt: `0x${answerSalt}`,
    prompt,
    answer,
    evidence,
    ...more,
  };
  return JSON.stringify(opening);
}

export function readOpening(text: string): Result<Opening> {
  const parsed = parseJson(text);
  return parsed.ok ? parseInput(openingSchema, parsed.value) : parsed;
}

/** Do the texts hash to what the receipt says? */
export function checkOpening(
  opening: Opening,
  receipt: { readonly promptHash: Uint8Array; readonly answerHash: Uint8Array },
): Result<Opening> {
  const prompt = saltedHash(fromHex(opening.promptSalt), opening.prompt);
  const answer = saltedHash(fromHex(opening.answerSalt), opening.answer);
  if (hexText(prompt) !== hexText(receipt.promptHash))
    return refuse("verification_failed", "the prompt is not the receipt's");
  if (hexText(answer) !== hexText(receipt.answerHash))
    return refuse("verification_failed", "the answer is not the receipt's");
  return ok(opening);
}
