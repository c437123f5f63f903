import { describe, expect, it } from "vitest";
import { electLicence, recogniseLicence } from "./licence.ts";

describe("electLicence", () => {
  it.each([
    ["MIT", "MIT"],
    ["mit", "MIT"],
    ["MIT OR Apache-2.0", "MIT"],
    ["(MIT OR CC0-1.0)", "MIT"],
    ["GPL-3.0-only OR MIT", "MIT"],
    ["(Apache-2.0 AND MIT)", "Apache-2.0 AND MIT"],
    ["MIT AND GPL-3.0-only", undefined],
    ["(GPL-2.0-only OR MIT) AND ISC", "MIT AND ISC"],
    ["MPL-2.0", undefined],
    ["UNLICENSED", undefined],
    ["SEE LICENSE IN LICENSE.md", undefined],
    ["Apache 2.0", undefined],
    ["Apache-2.0 WITH LLVM-exception", undefined],
    ["MIT OR", undefined],
    ["(MIT", undefined],
    ["MIT)", undefined],
    ["", undefined],
    ["OR", undefined],
  ])("%j elects %j", (expression, elected) => {
    const result = electLicence(expression);
    if (elected === undefined) expect(result).toMatchObject({ ok: false, error: { code: "licence_refused" } });
    else expect(result).toEqual({ ok: true, value: elected });
  });

  it("keeps to the licences that a datanet allows", () => {
    expect(electLicence("MIT OR ISC", ["ISC"])).toEqual({ ok: true, value: "ISC" });
    expect(electLicence("MIT", ["ISC"]).ok).toBe(false);
  });
});

describe("recogniseLicence", () => {
  it.each([
    [
      "Permission is hereby granted, free of charge, to\nany person … The above copyright notice and this permission notice shall",
      "MIT",
    ],
    ["   Apache License\n  Version 2.0, January 2004", "Apache-2.0"],
    ["Redistribution and use in source and binary forms … Neither the name of", "BSD-3-Clause"],
    ["All rights reserved.", undefined],
  ])("%j", (text, id) => expect(recogniseLicence(text)).toBe(id));
});
