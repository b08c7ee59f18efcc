import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { isProblem } from "./api/problem";
import { startLanguage } from "./i18n";
import { applyTheme, storedTheme } from "./lib/theme";
import { makeRouter } from "./router";
import { ToastHost } from "./ui/kit";
import "./styles.css";

applyTheme(storedTheme());

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What was refused is refused again; what did not answer may answer.
      retry: (failures, error) => failures < 2 && isProblem(error) && (error.status === 0 || error.status >= 500),
    },
  },
});
const router = makeRouter(client);

await startLanguage();
const element = document.getElementById("app");
if (!element) throw new Error("the page has no element for the app");
createRoot(element).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <ToastHost>
        <RouterProvider router={router} />
      </ToastHost>
    </QueryClientProvider>
  </StrictMode>,
);
