import { describe, expect, it } from "vitest";
import { browserOf } from "./agent";

describe("a user agent", () => {
  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge · Windows"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", "Safari · iPhone"],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0 Safari/537.36", "Chrome · macOS"],
  ])("is told in words: %s", (agent, words) => expect(browserOf(agent)).toBe(words));

  it("of a program, or none, is not made up", () => {
    expect([browserOf("curl/8.5.0"), browserOf(""), browserOf(null)]).toEqual([undefined, undefined, undefined]);
  });
});
