import { z } from "zod";
import {
  newWebhookSchema,
  webhookBody,
  webhookListSchema,
  webhookParam,
  webhookSchema,
} from "../../protocol/webhooks.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeNumber, wholeText } from "./inputs.ts";

const id = webhookParam.shape.id;

const add = command({
  path: "webhook add",
  summary: "Be told of what happens from now on",
  arguments: [["<url>", "an https address; it is sent CloudEvents, signed as Standard Webhooks"]],
  options: [
    ["--type <type...>", "only these: executed, compensated, distributed, settled, claimed, corrected, refused"],
    ["--account <id>", "only what this account paid for"],
  ],
  examples: ["openledger webhook add https://example.org/hooks --type executed --type corrected"],
  input: z.object({ url: wholeText, type: webhookBody.shape.types, account: webhookBody.shape.account }),
  run: async ({ url, type: types, account }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = { url, types, ...(account === undefined ? {} : { account }) };
    const made = await client.value.post("/api/webhooks", body, newWebhookSchema);
    if (made.ok) {
      output.line(`${made.value.id} is told of ${types.length === 0 ? "everything" : types.join(", ")}`);
      output.line(`  its signing secret, shown this once: ${made.value.secret}`);
    }
    return made;
  },
});

const list = command({
  path: "webhook list",
  summary: "All webhooks and how far each has been",
  examples: ["openledger webhook list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/webhooks", webhookListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ id: name, url, state, nextSeq, failures, lastError }) => ({
          ...{ id: name, url, state, "next entry": nextSeq, failures, "last error": lastError },
        })),
        "add one: openledger webhook add https://…",
      );
    return found;
  },
});

const remove = command({
  path: "webhook remove",
  summary: "Tell it no more",
  arguments: [["<id>", "the webhook"]],
  examples: ["openledger webhook remove whk_…"],
  input: z.object({ id }),
  run: async ({ id: name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const done = await client.value.delete(`/api/webhooks/${name}`, z.object({}));
    if (done.ok) output.line("removed");
    return done;
  },
});

const resume = command({
  path: "webhook resume",
  summary: "Go on where it stood, or tell it again from an earlier entry or event on",
  arguments: [["<id>", "the webhook"]],
  options: [
    ["--from <seq>", "the first journal entry to tell of again"],
    [
      "--from-kept <number>",
      "the first event to tell of again that the journal does not have: settled, claimed, refused",
    ],
  ],
  examples: ["openledger webhook resume whk_…", "openledger webhook resume whk_… --from 0"],
  input: z.object({
    ...{ id, from: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional() },
    fromKept: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional(),
  }),
  run: async ({ id: name, from, fromKept }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = {
      ...(from === undefined ? {} : { fromSeq: from }),
      ...(fromKept === undefined ? {} : { fromKept }),
    };
    const done = await client.value.post(`/api/webhooks/${name}/resume`, body, webhookSchema);
    if (done.ok) output.line(`${name} goes on at entry ${done.value.nextSeq}`);
    return done;
  },
});

export const webhookCommands: readonly CliCommand[] = [add, list, remove, resume];
