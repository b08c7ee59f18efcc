import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, dateTime, day } from "../lib/format";

interface Series { label: string; values: number[]; tone: "accent" | "info" | "warning" | "danger" }

/** Lines over time. The same figures are in a table, for who cannot see them. */
export function Chart({ at, series, interval }: { at: string[]; series: Series[]; interval: "hour" | "day" | "week" }) {
  const { t, i18n } = useTranslation();
  const ref = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const language = i18n.resolvedLanguage;
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const color = (name: string) => resolved(element, `var(--${name})`);
    const label = (seconds: number) =>
      interval === "hour" ? new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" }).format(seconds * 1000) : day(new Date(seconds * 1000));
    const axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const plot = new uPlot({
      width: element.clientWidth || 600,
      height: 220,
      cursor: { points: { size: 7 } },
      legend: { live: true },
      scales: { y: { range: (_, __, max) => [0, Math.max(4, max * 1.1)] } },
      axes: [
        { ...axis, size: 30, splits: (plotted) => some(plotted.data[0], element.clientWidth), values: (_, ticks) => ticks.map(label) },
        { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : "")) },
      ],
      series: [
        { label: t("chart.time"), value: (_, seconds) => (seconds === null ? "–" : dateTime(new Date(seconds * 1000))) },
        ...series.map(({ label: name, tone }) => ({
          label: name, stroke: color(tone), width: 2, points: { show: at.length < 3 }, value: (_: uPlot, value: number | null) => count(value),
        })),
      ],
    }, [at.map((moment) => new Date(moment).getTime() / 1000), ...series.map(({ values }) => values)], element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 220 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [at, series, interval, dark, language, t]);
  return (
    <figure>
      <div ref={ref} className="chart" aria-hidden="true" />
      <div className="visually-hidden">
        <table>
          <caption>{t("chart.table")}</caption>
          <thead><tr><th scope="col">{t("chart.time")}</th>{series.map(({ label }) => <th key={label} scope="col">{label}</th>)}</tr></thead>
          <tbody>{at.map((moment, index) => (
            <tr key={moment}><th scope="row">{dateTime(moment)}</th>{series.map(({ label, values }) => <td key={label}>{count(values[index])}</td>)}</tr>
          ))}</tbody>
        </table>
      </div>
    </figure>
  );
}

/** As many of the moments as there is room to name. */
function some(moments: ArrayLike<number>, width: number): number[] {
  const step = Math.max(1, Math.ceil(moments.length / Math.max(2, Math.floor(width / 80))));
  return Array.from(moments).filter((_, index) => index % step === 0);
}

/** A colour as the canvas can read it: it knows neither variables nor `light-dark()`. */
function resolved(element: HTMLElement, value: string): string {
  const probe = document.createElement("span");
  probe.style.color = value;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Whether the page is dark now, by the system or by choice. */
function useDark(): boolean {
  const read = () => getComputedStyle(document.body).backgroundColor !== "rgb(246, 247, 248)";
  const [dark, setDark] = useState(read);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const update = () => setDark(read());
    media.addEventListener("change", update);
    const observer = new MutationObserver(update);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      media.removeEventListener("change", update);
      observer.disconnect();
    };
  }, []);
  return dark;
}
