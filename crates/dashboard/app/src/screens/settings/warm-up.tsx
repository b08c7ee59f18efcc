import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { count, day } from "../../lib/format";
import { capsOf, dayAfter, type WarmUp } from "../../lib/warm-up";
import { Button, Dialog, ErrorNote, Segmented, TextField } from "../../ui/kit";

type Kind = "none" | "growing" | "daily";
const today = () => new Date().toISOString().slice(0, 10);

/** How many mails a new server may send each day, so that receivers get to know it; with what that comes to. */
export function WarmUpDialog({ sender, onClose, onSaved }: { sender: Schemas["notifications.Sender"]; onClose: () => void; onSaved: () => void }) {
  const { t } = useTranslation();
  const now = sender.warm_up;
  const [kind, setKind] = useState<Kind>(now ? (now.daily ? "daily" : "growing") : "none");
  const [start, setStart] = useState(now?.start ?? today());
  const [first, setFirst] = useState(String(now?.first ?? 50));
  const [growth, setGrowth] = useState(String(now?.growth ?? 1.5));
  const [until, setUntil] = useState(String(now?.until ?? 50_000));
  const [daily, setDaily] = useState(now?.daily?.join(", ") ?? "50, 100, 250, 500, 1000, 2500, 5000");
  const numbers = daily.split(/[\s,;]+/).filter(Boolean).map(Number);
  const plan: WarmUp | null = kind === "none" ? null
    : kind === "daily" ? { start, daily: numbers }
      : { start, first: Number(first), growth: Number(growth.replace(",", ".")), ...(until && { until: Number(until) }) };
  const caps = plan ? capsOf(plan, 60) : [];
  const save = useMutation({
    mutationFn: () => ask(api.PATCH("/api/v1/senders/{id}", { params: { path: { id: sender.id } }, body: { warm_up: plan } })),
    onSuccess: () => {
      onSaved();
      onClose();
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const broken = kind === "daily" && numbers.some((number) => !Number.isInteger(number) || number < 0);
  return (
    <Dialog title={t("warmUp.of", { name: sender.name })} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => { event.preventDefault(); save.mutate(); }}>
        <p className="muted">{t("warmUp.text")}</p>
        <div><Segmented label={t("warmUp.title")} value={kind} onChange={setKind} options={[["none", t("warmUp.none")], ["growing", t("warmUp.growing")], ["daily", t("warmUp.daily")]]} /></div>
        {kind !== "none" && <TextField label={t("warmUp.start")} type="date" required value={start} error={problem?.field("/warm_up/start")} onChange={(event) => setStart(event.target.value)} />}
        {kind === "growing" && (
          <div className="grid2">
            <TextField label={t("warmUp.first")} type="number" required min={1} value={first} error={problem?.field("/warm_up/first")} onChange={(event) => setFirst(event.target.value)} />
            <TextField label={t("warmUp.growth")} inputMode="decimal" required value={growth} hint={t("warmUp.growthHint")} error={problem?.field("/warm_up/growth")} onChange={(event) => setGrowth(event.target.value)} />
            <TextField label={t("warmUp.until")} type="number" min={1} value={until} error={problem?.field("/warm_up/until")} onChange={(event) => setUntil(event.target.value)} />
          </div>
        )}
        {kind === "daily" && <TextField label={t("warmUp.days")} required value={daily} hint={t("warmUp.daysHint")} error={broken ? t("warmUp.wrong") : problem?.field("/warm_up/daily")} onChange={(event) => setDaily(event.target.value)} />}
        {caps.length > 0 && !broken && start && (
          <div className="stack tight">
            <span className="small muted">{t("warmUp.means", { count: caps.length })}</span>
            <ol className="plain row small" data-testid="caps">{caps.slice(0, 12).map((cap, index) => <li key={dayAfter(start, index)} className="tag num">{day(`${dayAfter(start, index)}T12:00:00Z`)}: {count(cap)}</li>)}{caps.length > 12 && <li>…</li>}</ol>
          </div>
        )}
        {problem?.fields.some((field) => field.pointer.startsWith("/warm_up/")) ? null : <ErrorNote error={save.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" disabled={broken} busy={save.isPending}>{t("common.save")}</Button></div>
      </form>
    </Dialog>
  );
}
