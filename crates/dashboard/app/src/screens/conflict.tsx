import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Button, Dialog, Ready } from "../ui/kit";

function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "string") return value;
  if (typeof value === "object" && "body" in value) return String(value.body);
  return JSON.stringify(value, null, 2);
}

/** Two people wrote: which of the two is to hold is a person's choice. */
export function Conflict<T extends object>({ title, load, mine, show = shown, label, onDone }: {
  title: string;
  /** How a value is told. */
  show?: (value: unknown) => string;
  /** What a field is called, where it is none that drafts have. */
  label?: (name: keyof T & string) => string;
  /** What is stored now. */
  load: () => Promise<{ data: T; etag: string | undefined }>;
  mine: Partial<T>;
  onDone: (theirs: T, etag: string | undefined, keepMine: boolean) => void;
}) {
  const { t } = useTranslation();
  const theirs = useQuery({ queryKey: ["theirs", title], queryFn: load, staleTime: 0, gcTime: 0 });
  const names = Object.keys(mine) as (keyof T & string)[];
  return (
    <Dialog title={title} onClose={() => undefined}>
      <p>{t("conflict.text")}</p>
      <Ready of={theirs}>
        {({ data, etag }) => (
          <>
            {names.map((name) => (
              <div key={name} className="stack tight">
                <h3>{label ? label(name) : t(`conflict.fields.${name as "name"}`)}</h3>
                <div className="grid2">
                  <div><span className="small muted">{t("conflict.theirs")}</span><pre className="note break" style={{ whiteSpace: "pre-wrap", maxBlockSize: 140, overflow: "auto", margin: 0 }} tabIndex={0}>{show(data[name])}</pre></div>
                  <div><span className="small muted">{t("conflict.mine")}</span><pre className="note break" style={{ whiteSpace: "pre-wrap", maxBlockSize: 140, overflow: "auto", margin: 0 }} tabIndex={0}>{show(mine[name])}</pre></div>
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
