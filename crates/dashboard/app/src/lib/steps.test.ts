import { describe, expect, it } from "vitest";
import { isComplete, readSteps, writeSteps } from "./steps";

describe("the steps of a funnel", () => {
  it("come back from the address bar as they went in, without empty names", () => {
    const steps = [{ type: " view ", name: "" }, { type: "track", name: " Signed, Up: now " }];
    expect(readSteps(writeSteps(steps))).toEqual([{ type: "view" }, { type: "track", name: "Signed, Up: now" }]);
  });

  it.each([undefined, "", "view,goal", "{}", "[]", '[{"type":"view"}]', '[{"type":"view"},{"type":7}]', '[{"type":"view"},null]', JSON.stringify(Array.from({ length: 11 }, () => ({ type: "view" })))])(
    "are none where the address says nothing of the kind: %s", (text) => expect(readSteps(text)).toBeUndefined());

  it("are complete when there are two that say what happens", () => {
    expect([isComplete([{ type: "view" }]), isComplete([{ type: "view" }, { type: " " }]), isComplete([{ type: "view" }, { type: "goal" }])]).toEqual([false, false, true]);
  });
});
