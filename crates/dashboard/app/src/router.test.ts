import { QueryClient } from "@tanstack/react-query";
import { describe, expect, it } from "vitest";
import paths from "../paths.json";
import { makeRouter } from "./router";

describe("the router", () => {
  it("knows the screens that the gateway answers with the page, and no others", () => {
    const routes = Object.keys(makeRouter(new QueryClient()).routesByPath);
    const first = new Set(routes.map((path) => path.split("/")[1] ?? "").filter(Boolean));
    expect([...first].toSorted()).toEqual(paths.toSorted());
  });
});
