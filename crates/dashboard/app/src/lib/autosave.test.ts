import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProblemError } from "../api/problem";
import { Autosave, type Saved, type Shelf } from "./autosave";

interface Draft { name: string; subject: string; content: string }
type Save = (changes: Partial<Draft>, etag: string | undefined) => Promise<Saved<Draft>>;

function shelf(kept: ReturnType<Shelf["get"]> = null) {
  return { kept, get() { return this.kept; }, put(next: typeof kept) { this.kept = next; } };
}

function begin(save: Save, on = shelf()) {
  const states: string[] = [];
  const ways = { save, shelf: on, changed: (state: { kind: string }) => void states.push(state.kind) };
  return { autosave: new Autosave<Draft>(ways, '"1"'), states, on };
}

const answer = (etag: string): Saved<Draft> => ({ value: {} as Draft, etag });
const refusal = (status: number, pointers: string[] = []) =>
  new ProblemError(status, { detail: "no", errors: pointers.map((pointer) => ({ pointer, detail: "bad" })) });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("autosave", () => {
  it("saves once after typing pauses, with the version it began from", async () => {
    const save = vi.fn<Save>().mockResolvedValue(answer('"2"'));
    const { autosave, states, on } = begin(save);
    autosave.change({ name: "A" });
    autosave.change({ name: "Ab" });
    expect(on.kept?.changes).toEqual({ name: "Ab" });
    await vi.runAllTimersAsync();
    expect(save).toHaveBeenCalledExactlyOnceWith({ name: "Ab" }, '"1"');
    expect([autosave.etag, autosave.state.kind, on.kept]).toEqual(['"2"', "saved", null]);
    expect(states).toEqual(["waiting", "waiting", "saving", "saved"]);
  });

  it("saves what was typed during a save afterwards, on the new version", async () => {
    let finish: (saved: Saved<Draft>) => void = () => undefined;
    const first = new Promise<Saved<Draft>>((resolve) => { finish = resolve; });
    const save = vi.fn<Save>().mockReturnValueOnce(first).mockResolvedValue(answer('"3"'));
    const { autosave } = begin(save);
    autosave.change({ name: "A" });
    await vi.advanceTimersByTimeAsync(900);
    autosave.change({ name: "B" });
    finish(answer('"2"'));
    await vi.runAllTimersAsync();
    expect(save.mock.calls).toEqual([[{ name: "A" }, '"1"'], [{ name: "B" }, '"2"']]);
  });

  it("keeps changes without a connection and tries again", async () => {
    const save = vi.fn<Save>().mockRejectedValueOnce(refusal(0)).mockResolvedValue(answer('"2"'));
    const { autosave, on } = begin(save);
    autosave.change({ name: "A" });
    await vi.advanceTimersByTimeAsync(900);
    expect([autosave.state.kind, on.kept?.changes]).toEqual(["offline", { name: "A" }]);
    await vi.runAllTimersAsync();
    expect([save.mock.calls.length, autosave.state.kind, on.kept]).toEqual([2, "saved", null]);
  });

  it("saves the rest when one field is refused, and keeps that one", async () => {
    const save = vi.fn<Save>().mockRejectedValueOnce(refusal(422, ["/content/body"])).mockResolvedValue(answer('"2"'));
    const { autosave, on } = begin(save);
    autosave.change({ name: "A", content: "{{" });
    await vi.runAllTimersAsync();
    expect(save.mock.calls[1]).toEqual([{ name: "A" }, '"1"']);
    expect([autosave.state.kind, autosave.unsaved, on.kept?.etag]).toEqual(["refused", { content: "{{" }, '"2"']);
  });

  it("stops at a conflict and overwrites nobody until it is resolved", async () => {
    const save = vi.fn<Save>().mockRejectedValueOnce(refusal(412)).mockResolvedValue(answer('"8"'));
    const { autosave } = begin(save);
    autosave.change({ name: "mine" });
    await vi.runAllTimersAsync();
    autosave.change({ subject: "mine too" });
    await vi.runAllTimersAsync();
    expect([save.mock.calls.length, autosave.state.kind, await autosave.flush()]).toEqual([1, "conflict", false]);
    autosave.resolve('"7"', true);
    await vi.runAllTimersAsync();
    expect(save.mock.calls[1]).toEqual([{ name: "mine", subject: "mine too" }, '"7"']);
  });

  it("gives up one's own changes for the other's", async () => {
    const save = vi.fn<Save>().mockRejectedValueOnce(refusal(412));
    const { autosave, on } = begin(save);
    autosave.change({ name: "mine" });
    await vi.runAllTimersAsync();
    autosave.resolve('"7"', false);
    await vi.runAllTimersAsync();
    expect([save.mock.calls.length, autosave.state.kind, on.kept]).toEqual([1, "saved", null]);
  });

  it("takes up what an earlier page could not save, unless somebody changed it since", async () => {
    const save = vi.fn<Save>().mockResolvedValue(answer('"2"'));
    const taken = begin(save, shelf({ etag: '"1"', changes: { name: "A" } }));
    expect(taken.autosave.state.kind).toBe("waiting");
    await vi.runAllTimersAsync();
    expect(save).toHaveBeenCalledExactlyOnceWith({ name: "A" }, '"1"');
    expect(taken.autosave.state.kind).toBe("saved");
    const { autosave } = begin(save, shelf({ etag: '"0"', changes: { name: "A" } }));
    await vi.runAllTimersAsync();
    expect([autosave.state.kind, save.mock.calls.length]).toEqual(["conflict", 1]);
  });
});
