import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { campaignQuery, type Campaign } from "../api/queries";
import { Button, Dialog, Ready } from "../ui/kit";
import type { Draft } from "./editor";

function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "string") return value;
  if (typeof value === "object" && "body" in value) return String(value.body);
  return JSON.stringify(value, null, 2);
}

/** Two people wrote: which of the two is to hold is a person's choice. */
export function Conflict({ id, mine, onDone }: {
  id: string;
  mine: Partial<Draft>;
  onDone: (theirs: Campaign, etag: string | undefined, keepMine: boolean) => void;
}) {
  const { t } = useTranslation();
  const theirs = useQuery({ ...campaignQuery(id), queryKey: ["campaigns", id, "theirs"], staleTime: 0, gcTime: 0 });
  const names = Object.keys(mine) as (keyof Draft)[];
  return (
    <Dialog title={t("conflict.title")} onClose={() => undefined}>
      <p>{t("conflict.text")}</p>
      <Ready of={theirs}>
        {({ data, etag }) => (
          <>
            {names.map((name) => (
              <div key={name} className="stack tight">
                <h3>{t(`conflict.fields.${name}`)}</h3>
                <div className="grid2">
                  <div><span className="small muted">{t("conflict.theirs")}</span><pre className="note break" style={{ whiteSpace: "pre-wrap", maxBlockSize: 140, overflow: "auto", margin: 0 }} tabIndex={0}>{shown(data[name])}</pre></div>
                  <div><span className="small muted">{t("conflict.mine")}</span><pre className="note break" style={{ whiteSpace: "pre-wrap", maxBlockSize: 140, overflow: "auto", margin: 0 }} tabIndex={0}>{shown(mine[name])}</pre></div>
                </div>
              </div>
            ))}
            <div className="foot row">
              <Button onClick={() => onDone(data, etag, false)}>{t("conflict.takeTheirs")}</Button>
              <Button kind="primary" onClick={() => onDone(data, etag, true)}>{t("conflict.keepMine")}</Button>
            </div>
          </>
        )}
      </Ready>
    </Dialog>
  );
}
