import { ok, type Result, refuse } from "../core/result.ts";

/** A field of a form; a file has a name. */
export interface FormField {
  readonly bytes: Uint8Array;
  readonly fileName?: string;
}

/** Nobody here asks for more. */
const FIELDS_MAX = 16;

/**
 * The fields of a `multipart/form-data` body (RFC 7578), read by the parser that Node's own `Response` has. Boundaries are counted beforehand, so that a body
 * of very many small parts costs no more than one of a few. Of fields with one name the last counts.
 */
export async function readForm(
  contentType: string | undefined,
  body: Uint8Array,
): Promise<Result<ReadonlyMap<string, FormField>>> {
  const boundary = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(
    contentType ?? "",
  );
  const mark = boundary?.[1] ?? boundary?.[2];
  if (contentType === undefined || mark === undefined)
    return refuse("unsupported_media_type", `the body is sent as "${(contentType ?? "").slice(0, 100)}"`, {
      hint: "send it as content-type: multipart/form-data",
    });
  // One more closes the form.
  if (occurrences(body, `--${mark}`, FIELDS_MAX + 2) > FIELDS_MAX + 1)
    return refuse("invalid_request", `a form has at most ${FIELDS_MAX} fields`);
  try {
    const form = await new Response(body, { headers: { "content-type": contentType } }).formData();
    const fields = new Map<string, FormField>();
    for (const [name, value] of form) {
      if (typeof value === "string") fields.set(name, { bytes: new TextEncoder().encode(value) });
      else fields.set(name, { bytes: new Uint8Array(await value.arrayBuffer()), fileName: value.name });
    }
    return ok(fields);
  } catch {
    return refuse("invalid_request", "the body is not a whole multipart/form-data form");
  }
}

/** How often a text stands in some bytes, counted up to `most`. */
function occurrences(body: Uint8Array, text: string, most: number): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let count = 0;
  for (let at = bytes.indexOf(text); at >= 0 && count < most; at = bytes.indexOf(text, at + text.length)) count += 1;
  return count;
}
