/**
 * What a GPU machine runs instead of our trainer: the same examples, template, targets, windows, steps, schedule, optimiser and first values, through PEFT. It packs nothing, which changes no step, and
 * draws dropout's chances itself. So the losses are ours but for rounding, and for dropout where there is some. Everything that needs torch stands in `main`, so that the rest can be checked without it.
 */
export const peftScript = `#!/usr/bin/env python3
"""Trains the adapter of config.json on train.jsonl with PEFT, and writes it to adapter/. See README.md."""

import json
import math
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
END = 0


def chat_pieces(messages):
    """The conversation as (text, is_answer), as the base's chat template writes it."""
    said = [(m["role"], m["content"].strip()) for m in messages]
    pieces = []
    for role, content in said:
        if not content:
            continue
        marker = ("\\n\\n" if pieces else "") + "### " + NAMES[role] + ":\\n"
        if role == "assistant":
            pieces += [(marker, False), (content, True)]
        else:
            pieces.append((marker + content, False))
    return pieces


def encode_example(encode, example):
    """(tokens, targets): of a conversation only the answers are learnt, of a text all of it."""
    tokens, targets = [], []

    def write(text, is_answer):
        ids = list(encode(text)) + ([END] if is_answer else [])
        tokens.extend(ids)
        targets.extend([is_answer] * len(ids))

    if "text" in example:
        tokens.append(END)
        targets.append(False)
        write(example["text"], True)
    else:
        for text, is_answer in chat_pieces(example["messages"]):
            write(text, is_answer)
    return tokens, targets


def windows(tokens, targets, most):
    """Text goes on in the next window, which repeats one token; of a conversation the first window stays."""
    is_text = len(tokens) > 1 and all(targets[1:])
    start = 0
    while start == 0 or (is_text and start + 1 < len(tokens)):
        part = targets[start:start + most]
        part = [False] + part[1:]
        if any(part):
            yield tokens[start:start + most], part
        start += most - 1


def learning_rate(step, steps, warm_up, peak):
    """A straight rise, then half a cosine down to a tenth."""
    rise = math.ceil(steps * warm_up)
    if step < rise:
        return peak * (step + 1) / rise
    done = (step - rise) / max(1, steps - rise)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


def read_jsonl(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def micro_batches(rows, most):
    """Rows that run at once: as many in a row as keep the padded batch within so many tokens, at least one."""
    batches, longest = [], 0
    for row in rows:
        longest = max(longest, len(row[0]))
        if batches and (len(batches[-1]) + 1) * longest <= most:
            batches[-1].append(row)
        else:
            batches.append([row])
            longest = len(row[0])
    return batches


def main():
    # All that it needs lies here.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    with open(os.path.join(HERE, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    options = config["options"]
    base = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "base")
    torch.manual_seed(options["seed"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(os.path.join(base, "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    most = options["sequenceTokens"]
    cut = lambda name: [w for e in read_jsonl(name) for w in windows(*encode_example(encode, e), most)]
    train, held_out, plan = cut("train.jsonl"), cut("heldout.jsonl"), read_jsonl("plan.jsonl")
    model = AutoModelForCausalLM.from_pretrained(base).float()
    model = PeftModel.from_pretrained(model, os.path.join(HERE, "start"), is_trainable=True).to(device)
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        learnt, lr=options["learningRate"], betas=(0.9, 0.95), eps=1e-8, weight_decay=options["weightDecay"])
    room = options["batchSize"] * most

    def loss_of(batch):
        """Sum over the targets."""
        length = max(len(tokens) for tokens, _ in batch)
        ids = torch.full((len(batch), length), END, dtype=torch.long)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        wanted = torch.zeros((len(batch), length), dtype=torch.bool)
        for row, (tokens, targets) in enumerate(batch):
            ids[row, :len(tokens)] = torch.tensor(tokens)
            mask[row, :len(tokens)] = 1
            wanted[row, :len(tokens)] = torch.tensor(targets)
        ids, mask, wanted = ids.to(device), mask.to(device), wanted.to(device)
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        chosen = wanted[:, 1:]
        return torch.nn.functional.cross_entropy(logits[chosen].float(), ids[:, 1:][chosen], reduction="sum")

    def held_out_loss():
        """Mean nats a token."""
        model.eval()
        with torch.no_grad():
            total = sum(float(loss_of(rows)) for rows in micro_batches(held_out, room))
        model.train()
        return total / sum(sum(targets) for _, targets in held_out)

    steps, started = len(plan), time.time()
    before = held_out_loss() if held_out else None
    best, best_values, worse = None, None, 0
    if before is not None:
        print(f"held-out loss of the base {before:.4f}", flush=True)
    model.train()
    for step, numbers in enumerate(plan):
        rows = [train[number] for number in numbers]
        count = sum(sum(targets) for _, targets in rows)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, options["warmUp"], options["learningRate"])
        optimiser.zero_grad()
        total = 0.0
        for part in micro_batches(rows, room):
            loss = loss_of(part) / count
            loss.backward()
            total += float(loss.detach())
        if options["gradientNormMax"] > 0:
            torch.nn.utils.clip_grad_norm_(learnt, options["gradientNormMax"])
        optimiser.step()
        if (step + 1) % 10 == 0 or step + 1 == steps:
            print(f"step {step + 1}/{steps}  loss {total:.4f}  {time.time() - started:.0f} s", flush=True)
        if before is None or ((step + 1) % options["checkpointEvery"] != 0 and step + 1 != steps):
            continue
        now = held_out_loss()
        print(f"step {step + 1}/{steps}  held-out loss {now:.4f}", flush=True)
        if best is None or now < best:
            best, worse = now, 0
            best_values = {name: value.detach().clone() for name, value in get_peft_model_state_dict(model).items()}
        else:
            worse += 1
        if 0 < options["patience"] <= worse:
            break
    if best is not None and options["patience"] > 0:
        set_peft_model_state_dict(model, best_values)
        print(f"the best held-out loss was {best:.4f}" + ("" if best < before else ": nothing was gained over the base"))
    adapter = os.path.join(HERE, "adapter")
    model.save_pretrained(adapter, safe_serialization=True)
    shutil.copy(os.path.join(HERE, "openledger.json"), adapter)
    print("adapter/ holds the adapter: openledger model import-adapter", config["job"], "adapter")


if __name__ == "__main__":
    main()
`;
