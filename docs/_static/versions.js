// A list of the site's versions below its name. There is none where a single version is looked at:
// publish.py writes versions.json beside the folders of the versions.
"use strict";

(async () => {
  if (!location.protocol.startsWith("http")) return;
  const root = new URL(document.documentElement.dataset.content_root, location);
  const found = await fetch(new URL("../versions.json", root));
  if (!found.ok) return;
  const versions = await found.json();
  const here = root.pathname.split("/").at(-2);
  const select = document.createElement("select");
  select.className = "versions";
  select.ariaLabel = "Version of the documentation";
  select.append(
    ...versions.map((name) => new Option(name, name, name === here, name === here)),
  );
  select.addEventListener("change", async () => {
    const other = new URL(`../${select.value}/`, root);
    const page = new URL(location.href.slice(root.href.length), other);
    const exists = await fetch(page, { method: "HEAD" });
    location.assign(exists.ok ? page : other);
  });
  document.querySelector(".sidebar-brand").after(select);
})();
