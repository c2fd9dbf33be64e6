// Which browser do the tests use? Debian's Chromium, or the one that CHROMIUM names.

import { chromium } from "playwright-core";

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
