// Sets the chosen theme before the page is painted. SPDX-License-Identifier: Apache-2.0
// A classic script: a module would run after the first paint.
{
	const KEY = "stagebook.theme";
	const root = document.documentElement;
	const read = () => {
		try {
			return localStorage.getItem(KEY);
		} catch {
			return null; // the browser keeps nothing for this page
		}
	};
	const apply = (theme) => {
		if (theme === "light" || theme === "dark") root.dataset.theme = theme;
		else delete root.dataset.theme;
	};
	apply(read());
	globalThis.stagebookTheme = {
		current: () => root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"),
		choose: (theme) => {
			apply(theme);
			try {
				localStorage.setItem(KEY, theme);
			} catch {
				// it lasts until the page is closed
			}
		},
	};
}
