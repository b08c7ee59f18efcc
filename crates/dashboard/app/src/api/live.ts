import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { LiveStream, type LiveEvent, type LiveState } from "../lib/live";
import { api } from "./client";

/** Watches events while the screen is there; `heard` gets those that came, a few times a second. */
export function useLive(heard: (events: LiveEvent[]) => void, enabled = true): LiveState {
  const [state, setState] = useState<LiveState>("connecting");
  const latest = useRef(heard);
  latest.current = heard;
  useEffect(() => {
    if (!enabled) return undefined;
    const stream = new LiveStream("/api/v1/live", {
      events: (events) => latest.current(events),
      changed: setState,
      // If nobody is signed in any more, this answers so, and the page asks for the password.
      refused: () => void api.GET("/api/v1/workspaces").catch(() => undefined),
    });
    return () => stream.stop();
  }, [enabled]);
  return state;
}

const MINUTES = 5;
const REFRESH_MS = 1_500;

/** Figures that move when something happens: they are asked anew soon after, however much happens. */
export function useLiveFigures(enabled: boolean): { state: LiveState; people: number } {
  const client = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const seen = useRef(new Map<string, number>());
  const [people, setPeople] = useState(0);
  const count = () => {
    const since = Date.now() - MINUTES * 60_000;
    for (const [who, at] of seen.current) if (at < since) seen.current.delete(who);
    setPeople(seen.current.size);
  };
  const state = useLive((events) => {
    for (const event of events) {
      const who = event.lead_id ?? event.user_id ?? event.anonymous_id;
      if (who && event.verdict === "human") seen.current.set(who, Date.parse(event.received_at));
    }
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void client.invalidateQueries({ queryKey: ["overview"] });
      void client.invalidateQueries({ queryKey: ["analytics"] });
    }, REFRESH_MS);
    count();
  }, enabled);
  useEffect(() => {
    const again = setInterval(count, 10_000);
    return () => {
      clearInterval(again);
      clearTimeout(timer.current);
    };
  }, []);
  return { state, people };
}
