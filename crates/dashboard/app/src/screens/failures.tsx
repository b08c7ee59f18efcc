import { Link, type ErrorComponentProps } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { Button, Empty, ErrorNote } from "../ui/kit";
import { isProblem } from "../api/problem";

export function Missing() {
  const { t } = useTranslation();
  return (
    <Empty title={t("missing.title")} action={<Link className="button" to="/">{t("missing.home")}</Link>}>
      {t("missing.text")}
    </Empty>
  );
}

/** A screen that broke; the others still work. */
export function Crash({ error, reset }: ErrorComponentProps) {
  const { t } = useTranslation();
  return (
    <Empty title={t("crash.title")} action={
      <>
        <Button kind="primary" onClick={reset}>{t("common.retry")}</Button>
        <Button onClick={() => location.reload()}>{t("crash.reload")}</Button>
      </>
    }>
      {isProblem(error) ? <ErrorNote error={error} /> : t("crash.text")}
    </Empty>
  );
}
