import { useEffect, useState, type RefObject } from "react";

/**
 * Which rows of one height are in sight, with some around them: a matter of arithmetic, however many there are. A
 * jump draws all of them at once, so there are few around: a turn of the wheel.
 */
export function inSight(count: number, height: number, top: number, size: number, around = 4): { first: number; last: number } {
  const first = Math.max(0, Math.floor(top / height) - around);
  return { first, last: Math.min(count - 1, Math.ceil((top + size) / height) + around) };
}

/** The same of an element that scrolls. */
export function useRowsInSight(scroller: RefObject<HTMLElement | null>, count: number, height: number): { first: number; last: number } {
  const [place, setPlace] = useState({ top: 0, size: 800 });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const look = () => {
      // A row more or less is seen; less than that changes nothing.
      const top = Math.floor(element.scrollTop / height) * height;
      const size = element.clientHeight;
      setPlace((before) => (before.top === top && before.size === size ? before : { top, size }));
    };
    look();
    element.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [scroller, height]);
  return inSight(count, height, place.top, place.size);
}
