import { useLocation } from "@tanstack/react-router";
import { useEffect, useRef, type ReactNode } from "react";

/** Parts of a screen. On a narrow one, the tab in use is brought into sight. */
export function Tabs({ label, children }: { label: string; children: ReactNode }) {
  const { pathname } = useLocation();
  const tabs = useRef<HTMLElement>(null);
  useEffect(() => {
    tabs.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [pathname]);
  return <nav ref={tabs} className="tabs" aria-label={label}>{children}</nav>;
}
