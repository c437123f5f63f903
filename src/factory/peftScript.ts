/**
 * What a GPU machine runs instead of our trainer: the same examples, template, targets, windows, schedule and optimiser, through PEFT. It packs nothing and
 * draws its own chances, so the adapter is another one than ours would be, of the same kind. Everything that needs torch stands in `main`, so that the rest
 * can be checked without it.
 */
export const peftScript = `#!/usr/bin/env python3
"""Trains the adapter of config.json on train.jsonl with PEFT, and writes it to adapter/. See README.md."""

import json
import math
import os
import random
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


def main():
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    with open(os.path.join(HERE, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    options, lora = config["options"], config["options"]["adapter"]
    base = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "base")
    random.seed(options["seed"])
    torch.manual_seed(options["seed"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(os.path.join(base, "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    most = options["sequenceTokens"]
    cut = lambda name: [w for e in read_jsonl(name) for w in windows(*encode_example(encode, e), most)]
    train, held_out = cut("train.jsonl"), cut("heldout.jsonl")
    model = AutoModelForCausalLM.from_pretrained(base, torch_dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=lora["dropout"],
        target_modules=lora["targets"], bias="none"))
    model.to(device)
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        learnt, lr=options["learningRate"], betas=(0.9, 0.95), eps=1e-8, weight_decay=options["weightDecay"])

    def loss_of(batch):
        """Sum over the targets, and how many there are."""
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
        losses = torch.nn.functional.cross_entropy(logits[chosen].float(), ids[:, 1:][chosen], reduction="sum")
        return losses, int(chosen.sum())

    def held_out_loss():
        if not held_out:
            return None
        model.eval()
        with torch.no_grad():
            parts = [loss_of([one]) for one in held_out]
        model.train()
        return float(sum(loss for loss, _ in parts)) / sum(count for _, count in parts)

    size = options["batchSize"]
    steps = options["epochs"] * math.ceil(len(train) / size)
    step, started = 0, time.time()
    model.train()
    for epoch in range(options["epochs"]):
        order = train[:]
        random.shuffle(order)
        for at in range(0, len(order), size):
            rate = learning_rate(step, steps, options["warmUp"], options["learningRate"])
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses, count = loss_of(order[at:at + size])
            optimiser.zero_grad()
            (losses / count).backward()
            if options["gradientNormMax"] > 0:
                torch.nn.utils.clip_grad_norm_(learnt, options["gradientNormMax"])
            optimiser.step()
            step += 1
            if step % 10 == 0 or step == steps:
                print(f"step {step}/{steps}  loss {float(losses) / count:.4f}  {time.time() - started:.0f} s", flush=True)
    model.save_pretrained(os.path.join(HERE, "adapter"), safe_serialization=True)
    loss = held_out_loss()
    print("held-out loss" if loss is not None else "no held-out examples", loss if loss is not None else "")
    print("adapter/ holds the adapter: openledger model import-adapter", config["job"], "adapter")


if __name__ == "__main__":
    main()
`;
