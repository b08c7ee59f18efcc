import { describe, expect, it } from "vitest";
import { ago, dateTime, money, parseMoney, percent, planned, wallClock, writeMoney } from "./format";
import { framePage } from "./frame";
import { around, lastDays } from "./period";
import { insertAt } from "./variables";

describe("money", () => {
  it("is read as people write it, and only then", () => {
    expect([parseMoney("12.50", "EUR"), parseMoney("12,5", "EUR"), parseMoney("1500", "JPY")]).toEqual([1250, 1250, 1500]);
    for (const bad of ["", "-1", "1.234,56", "12.345", "abc", "1e3"]) expect(parseMoney(bad, "EUR"), bad).toBeNull();
    expect(parseMoney("1.5", "JPY")).toBeNull();
  });

  it("is shown in its currency's own digits", () => {
    expect([writeMoney(1250, "EUR"), writeMoney(1500, "JPY"), writeMoney(1234, "KWD")]).toEqual(["12.50", "1500", "1.234"]);
    expect(money(1500, "JPY")).toContain("1,500");
  });
});

describe("figures", () => {
  it("have no share of nothing", () => {
    expect([percent(1, 0), percent(null, 5), percent(1, 3), percent(1, 80)]).toEqual(["–", "–", "33%", "1.3%"]);
  });

  it("tell how long ago", () => {
    const now = Date.parse("2026-01-02T00:00:00Z");
    expect(ago("2026-01-01T21:00:00Z", now)).toBe("3 hours ago");
    expect(ago("2026-01-02T00:00:10Z", now)).toBe("now");
  });
});

describe("a plan", () => {
  it("is told as it was chosen, and a moment by the viewer's clock", () => {
    expect(planned("2030-01-01T09:00:00")).toBe(wallClock("2030-01-01T09:00"));
    expect(planned("2030-01-01T09:00:00+05:00")).toBe(dateTime("2030-01-01T04:00:00Z"));
  });
});

describe("periods", () => {
  it("end with this hour, so that asking twice asks the same", () => {
    const period = lastDays(7, new Date("2026-01-08T10:20:30Z"));
    expect(period).toEqual({ from: "2026-01-01T11:00:00.000Z", to: "2026-01-08T11:00:00.000Z", interval: "day" });
  });

  it("follow a campaign in hours while it is fresh, and for ninety days at most", () => {
    const fresh = around("2026-01-01T10:20:00Z", new Date("2026-01-01T12:20:00Z"));
    expect(fresh).toEqual({ from: "2026-01-01T09:00:00.000Z", to: "2026-01-01T13:00:00.000Z", interval: "hour" });
    const old = around("2026-01-01T10:20:00Z", new Date("2027-01-01T12:20:00Z"));
    expect([old.to, old.interval]).toEqual(["2026-04-01T09:00:00.000Z", "day"]);
  });
});

describe("the mail's own page", () => {
  it("begins with a policy that lets nothing run, before anything of the mail", () => {
    const page = framePage("<script>alert(1)</script>");
    const policy = page.indexOf("default-src 'none'");
    expect(policy).toBeGreaterThan(0);
    expect(policy).toBeLessThan(page.indexOf("<script>"));
    expect(page.slice(0, page.indexOf("<script>"))).not.toContain("script-src");
  });
});

describe("variables", () => {
  it("replace the selection, with something to stand in where they may be empty", () => {
    expect(insertAt("Hello X!", "lead.email", 6, 7)).toEqual({ text: "Hello {{ lead.email }}!", caret: 22 });
    const { text, caret } = insertAt("", "lead.first_name", 0, 0);
    expect([text, text.slice(caret)]).toEqual(['{{ lead.first_name | default("") }}', '") }}']);
  });
});
