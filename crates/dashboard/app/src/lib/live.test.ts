import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveStream, type LiveEvent, type Source } from "./live";

class Fake implements Source {
  readyState = 0;
  closed = false;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  private listener: ((message: { data: string; lastEventId: string }) => void) | undefined;
  constructor(readonly url: string) {}
  addEventListener(_: "event", listener: (message: { data: string; lastEventId: string }) => void) {
    this.listener = listener;
  }
  close() {
    this.closed = true;
  }
  tell(id: string, place: string) {
    this.listener?.({ data: JSON.stringify({ id, type: "view" }), lastEventId: place });
  }
  fail(closed: boolean) {
    this.readyState = closed ? 2 : 0;
    this.onerror?.();
  }
}

function begin(path = "/api/v1/live") {
  const opened: Fake[] = [];
  const told: string[][] = [];
  const states: string[] = [];
  const refused = vi.fn();
  const stream = new LiveStream(path, {
    events: (events: LiveEvent[]) => void told.push(events.map((event) => event.id)),
    changed: (state) => void states.push(state),
    refused,
    open: (url) => {
      const source = new Fake(url);
      opened.push(source);
      return source;
    },
  });
  const last = () => opened.at(-1) as Fake;
  return { stream, opened, told, states, refused, last };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a live stream", () => {
  it("tells what comes within a moment at once", async () => {
    const { told, last, states } = begin();
    last().onopen?.();
    last().tell("a", "1");
    last().tell("b", "2");
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    last().tell("c", "3");
    await vi.advanceTimersByTimeAsync(300);
    expect([told, states]).toEqual([[["a", "b"], ["c"]], ["connecting", "open"]]);
  });

  it("leaves a lost connection to the browser", async () => {
    const { opened, states, refused, last } = begin();
    last().fail(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([opened.length, states, refused.mock.calls.length]).toEqual([1, ["connecting", "lost"], 0]);
  });

  it("asks anew when it was refused, from where it was, ever more patiently", async () => {
    const { opened, refused, last } = begin("/api/v1/live?campaign_id=x");
    last().tell("a", "1.2.3");
    last().fail(true);
    expect(refused).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(999);
    expect(opened).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(last().url).toBe("/api/v1/live?campaign_id=x&last_event_id=1.2.3");
    last().fail(true);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(opened).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(opened).toHaveLength(3);
    // Once it was open, it is impatient again.
    last().onopen?.();
    last().fail(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(opened).toHaveLength(4);
  });

  it("is quiet after it was stopped", async () => {
    const { stream, opened, told, last } = begin();
    last().tell("a", "1");
    last().fail(true);
    stream.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([opened.length, told, last().closed]).toEqual([1, [], true]);
  });
});
