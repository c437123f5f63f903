import { describe, expect, it } from "vitest";
import { bytesField, floatField, intField, packedIntsField, textField } from "./protobuf.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("protocol buffers", () => {
  // The first, third and fourth are the examples of protobuf.dev/programming-guides/encoding.
  it.each([
    ["a number", intField(1, 150), "089601"],
    ["the last number of one byte", intField(1, 127), "087f"],
    ["the first number of two bytes", intField(1, 128), "088001"],
    ["the first number of three bytes", intField(1, 16_384), "08808001"],
    ["a negative number", intField(1, -2), "08feffffffffffffffff01"],
    ["a text", textField(2, "testing"), "120774657374696e67"],
    ["an embedded message", bytesField(3, intField(1, 150)), "1a03089601"],
    ["packed numbers", packedIntsField(6, [3, 270, 86_942]), "3206038e029ea705"],
    ["a float", floatField(2, 1), "150000803f"],
    ["a high field", intField(20, 7), "a00107"],
  ])("writes %s", (_what, bytes, expected) => {
    expect(hex(bytes)).toBe(expected);
  });
});
