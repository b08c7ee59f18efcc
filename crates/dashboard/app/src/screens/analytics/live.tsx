import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useLive } from "../../api/live";
import { campaignNamesQuery } from "../../api/queries";
import { count } from "../../lib/format";
import type { LiveEvent } from "../../lib/live";
import { Badge, Button, Check, Empty, Stat } from "../../ui/kit";

const SHOWN = 200;
const MINUTES = 5;
const TONES = { connecting: "", open: "good", lost: "warn" } as const;

const personOf = (event: LiveEvent) => event.lead_id ?? event.user_id ?? event.anonymous_id;

/** What happens, as it is committed. */
export function LiveScreen() {
  const { t } = useTranslation();
  const names = useQuery(campaignNamesQuery);
  const [events, setEvents] = useState<LiveEvent[]>([]);
  const [paused, setPaused] = useState(false);
  const [machines, setMachines] = useState(false);
  const [now, setNow] = useState(() => Date.now());
  const kept = useRef<LiveEvent[]>([]);
  const state = useLive((came) => {
    // An event that is judged anew is told again: the later word holds.
    const again = new Set(came.map((event) => event.id));
    kept.current = [...came.toReversed(), ...kept.current.filter((event) => !again.has(event.id))].slice(0, 5_000);
    if (!paused) setEvents(kept.current);
  });
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const recent = events.filter((event) => Date.parse(event.received_at) > now - MINUTES * 60_000);
  const human = recent.filter((event) => event.verdict === "human");
  const people = new Set(human.map(personOf).filter(Boolean)).size;
  const of = (type: string) => human.filter((event) => event.type === type).length;
  const shown = (machines ? events : events.filter((event) => event.verdict === "human")).slice(0, SHOWN);
  return (
    <div className="stack wide">
      <div className="row apart">
        <div className="row"><Badge tone={TONES[state]}>{t(`live.states.${state}`)}</Badge><span className="muted">{t("live.lead", { count: MINUTES })}</span></div>
        <div className="row"><Check label={t("live.machines")} checked={machines} onChange={(event) => setMachines(event.target.checked)} />
          <Button small aria-pressed={paused} onClick={() => { setPaused(!paused); if (paused) setEvents(kept.current); }}>{t(paused ? "live.resume" : "live.pause")}</Button></div>
      </div>
      <section className="cards" aria-label={t("overview.figures")}>
        <Stat label={t("running.people")} value={count(people)} />
        <Stat label={t("analytics.views")} value={count(of("view"))} />
        <Stat label={t("analytics.opens")} value={count(of("open"))} />
        <Stat label={t("analytics.clicks")} value={count(of("click"))} />
        <Stat label={t("overview.conversions")} value={count(of("goal"))} />
        <Stat label={t("analytics.machine")} value={count(recent.length - human.length)} />
      </section>
      <section className="card flush">
        {shown.length === 0 ? <Empty title={t("live.none")}>{t("live.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("deliveries.when")}</th><th scope="col">{t("live.what")}</th><th scope="col">{t("live.where")}</th><th scope="col">{t("audit.who")}</th></tr></thead>
            <tbody>{shown.map((event) => (
              <tr key={event.id}>
                <td className="nowrap muted num">{new Date(event.received_at).toLocaleTimeString()}</td>
                <td><div className="row"><Badge tone={event.verdict === "human" ? "info" : ""}>{t(`eventTypes.${event.type as "view"}`, { defaultValue: event.type })}</Badge>
                  {event.verdict !== "human" && <span className="small muted">{t(`verdicts.${event.verdict as "bot"}`, { defaultValue: event.verdict })}</span>}
                  {event.name && <strong className="break">{event.name}</strong>}</div></td>
                <td className="break small">{event.campaign_id && <div>{names.data?.get(event.campaign_id) ?? ""}</div>}<span className="muted">{event.url}</span></td>
                <td className="small break">{event.lead_id ? <Link to="/leads/$id" params={{ id: event.lead_id }}>{t("live.lead_")}</Link> : event.user_id ?? <span className="muted">{t("live.anonymous")}</span>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </section>
    </div>
  );
}
