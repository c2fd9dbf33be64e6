"use strict";

// The style sheet of Swagger UI has dark colours for this class, and leaves it to the page to set it.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setColours = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setColours);
setColours();

SwaggerUIBundle({
  // Whole, because the servers in the document are relative to it. A proxy may serve the page under a prefix.
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#docs",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  // No badge of a validator on another host.
  validatorUrl: null,
});
