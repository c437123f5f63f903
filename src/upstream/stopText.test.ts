import fc from "fast-check";
import { expect, test } from "vitest";
import { StopText } from "./stopText.ts";

const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 });

test("however a text is cut into parts, it ends before the first stop", () => {
  fc.assert(
    fc.property(fc.array(letters), fc.array(letters, { maxLength: 3 }), (parts, stops) => {
      const filter = new StopText(stops);
      const given = parts.map((part) => filter.push(part)).join("") + filter.end();
      const whole = parts.join("");
      const cuts = stops.filter((stop) => stop !== "" && whole.includes(stop)).map((stop) => whole.indexOf(stop));
      // A stop that starts earlier may complete later than another: then the first to complete ends the text.
      const ends = stops
        .filter((stop) => stop !== "" && whole.includes(stop))
        .map((stop) => whole.indexOf(stop) + stop.length);
      expect(whole.startsWith(given)).toBe(true);
      if (cuts.length === 0) expect(given).toBe(whole);
      else {
        expect(given.length).toBeGreaterThanOrEqual(Math.min(...cuts));
        expect(given.length).toBeLessThan(Math.min(...ends) + Math.max(...parts.map((part) => part.length)));
        for (const stop of stops) if (stop !== "") expect(given.includes(stop)).toBe(false);
      }
    }),
  );
});

test.each([
  [["he", "llo STOP more"], ["STOP"], "hello "],
  [["a", "b", "c"], ["abc"], ""],
  [["ab"], ["abc"], "ab"],
  [["x\n", "\ny"], ["\n\n"], "x"],
])("%j without %j is %j", (parts, stops, text) => {
  const filter = new StopText(stops);
  expect(parts.map((part) => filter.push(part)).join("") + filter.end()).toBe(text);
});
