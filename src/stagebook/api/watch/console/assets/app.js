// The console: signing in, the frame around the pages, and which page is shown. SPDX-License-Identifier: Apache-2.0

import { me, onSignedOut, signOut } from "./api.js";
import { Icon, Loading, Problem } from "./components/parts.js";
import { Toasts, toastError } from "./components/toasts.js";
import { OverviewPage } from "./pages/overview.js";
import { SignInPage } from "./pages/sign_in.js";
import { overviewLink, parseRoute, searchLink, webhooksLink } from "./router.js";
import { html, render, useEffect, useRef, useState } from "./vendor/vendor.js";

// Pages that are loaded when they are opened first.
const PAGES = {
	overview: async () => OverviewPage,
	stage: async () => (await import("./pages/stage.js")).StagePage,
	join: async () => (await import("./pages/join.js")).JoinPage,
	participant: async () => (await import("./pages/participant.js")).ParticipantPage,
	session: async () => (await import("./pages/session.js")).SessionPage,
	composition: async () => (await import("./pages/composition.js")).CompositionPage,
	search: async () => (await import("./pages/search.js")).SearchPage,
	webhooks: async () => (await import("./pages/webhooks.js")).WebhooksPage,
	webhook: async () => (await import("./pages/webhook.js")).WebhookPage,
	missing: async () => MissingPage,
};

const LINKS = [
	["overview", "Overview", overviewLink(), ["overview", "stage", "join", "session", "participant", "composition"]],
	["search", "Events", searchLink(), ["search"]],
	["webhooks", "Webhooks", webhooksLink(), ["webhooks", "webhook"]],
];

const MissingPage = () => html`<h1 tabindex="-1">No such page</h1>
	<p>The address names no page of the console. <a href=${overviewLink()}>Go to the overview</a>.</p>`;

function useRoute() {
	const [route, setRoute] = useState(() => parseRoute(location.hash));
	useEffect(() => {
		const update = () => setRoute(parseRoute(location.hash));
		addEventListener("hashchange", update);
		return () => removeEventListener("hashchange", update);
	}, []);
	return route;
}

function ThemeButton() {
	const [theme, setTheme] = useState(() => stagebookTheme.current());
	const other = theme === "dark" ? "light" : "dark";
	const choose = () => {
		stagebookTheme.choose(other);
		setTheme(other);
	};
	return html`<button type="button" class="quiet icon" aria-label=${`Use the ${other} theme`} title=${`Use the ${other} theme`} onClick=${choose}>
		<${Icon} name=${theme === "dark" ? "sun" : "moon"} />
	</button>`;
}

function Header({ identity, route, onSignOut }) {
	return html`<header class="page-header">
		<a class="brand" href=${overviewLink()}><img src="icon.svg" alt="" width="26" height="26" />Stagebook</a>
		${identity &&
		html`<nav aria-label="Main">
			${LINKS.map(
				([page, label, link, pages]) =>
					html`<a key=${page} href=${link} aria-current=${pages.includes(route.page) ? "page" : undefined}>${label}</a>`,
			)}
		</nav>`}
		<div class="header-end">
			${identity && html`<span class="who" title=${`Account ${identity.accountId}`}>${identity.name} <span class="muted">${identity.role ?? ""}</span></span>`}
			<${ThemeButton} />
			${identity?.method === "session" && html`<button type="button" class="quiet" onClick=${onSignOut}>Sign out</button>`}
		</div>
	</header>`;
}

// The component of a page, once its module is loaded. The title of the document and the focus follow the page.
function Page({ route, identity }) {
	const [shown, setShown] = useState(null);
	const isFirst = useRef(true);
	useEffect(() => {
		let isEnded = false;
		PAGES[route.page]().then(
			(View) => isEnded || setShown({ View, route }),
			(error) => isEnded || setShown({ error, route }),
		);
		return () => (isEnded = true);
	}, [route]);
	const key = shown?.route.key;
	useEffect(() => {
		if (!key) return;
		const heading = document.querySelector("main h1");
		if (!isFirst.current) heading?.focus({ preventScroll: true });
		if (!isFirst.current) scrollTo(0, 0);
		isFirst.current = false;
	}, [key]);
	useEffect(() => {
		const heading = document.querySelector("main h1");
		const update = () => (document.title = heading?.textContent ? `${heading.textContent} – Stagebook` : "Stagebook");
		update();
		if (!heading) return undefined;
		const observer = new MutationObserver(update);
		observer.observe(heading, { childList: true, characterData: true, subtree: true });
		return () => observer.disconnect();
	}, [key]);
	if (!shown) return html`<${Loading} />`;
	if (shown.error) return html`<h1 tabindex="-1">The page was not loaded</h1><${Problem} error=${shown.error} onRetry=${() => location.reload()} />`;
	const { View } = shown;
	return html`<${View} key=${key} ...${shown.route.ids} parameters=${shown.route.parameters} identity=${identity} />`;
}

function App() {
	const [state, setState] = useState({ isLoading: true });
	const route = useRoute();
	const load = () => me().then((identity) => setState({ identity }), (error) => setState(error.status === 401 ? {} : { error }));
	useEffect(() => {
		load();
		return onSignedOut(() => setState({ hasExpired: true }));
	}, []);
	const end = () => signOut().then(() => setState({}), toastError);
	const { isLoading, identity, error, hasExpired } = state;
	return html`
		<a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
		<${Header} identity=${identity} route=${route} onSignOut=${end} />
		<main id="content" tabindex="-1" class=${identity ? "" : "narrow"}>
			${isLoading && html`<${Loading} />`}
			${error && html`<h1 tabindex="-1">The server does not answer</h1><${Problem} error=${error} onRetry=${load} />`}
			${!isLoading && !error && !identity && html`<${SignInPage} hasExpired=${hasExpired} onSignedIn=${load} />`}
			${identity && html`<${Page} route=${route} identity=${identity} />`}
		</main>
		<${Toasts} />
	`;
}

// The fragment of the URL belongs to the router.
function skip(event) {
	event.preventDefault();
	document.querySelector("main").focus();
}

render(html`<${App} />`, document.getElementById("app"));
