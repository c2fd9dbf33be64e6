// The form to sign in: with a name, or with a token where calls need one.

import { html, nothing } from "../lit-html/lit-html.js";

export function signIn({ submit, error, name, isPending }) {
  return html`
    <main class="sign-in">
      <h1>Chinwag</h1>
      <p class="hint">A chat that never forgets.</p>
      <form @submit=${submit}>
        <label for="username">Your username</label>
        <input id="username" name="username" required autocomplete="username" dir="auto" autofocus .value=${name}>
        <button class="primary" ?disabled=${isPending}>Sign in</button>
      </form>
      <p class="hint">A username that is not in use creates a new user.</p>
      ${problem(error)}
    </main>`;
}

/** Returns the form for a token: only the application that the server belongs to signs it. */
export function signInWithToken({ submit, error, isPending }) {
  return html`
    <main class="sign-in">
      <h1>Chinwag</h1>
      <form @submit=${submit}>
        <label for="token">Your token</label>
        <input id="token" name="token" type="password" required maxlength="4096" autocomplete="off" autofocus>
        <button class="primary" ?disabled=${isPending}>Sign in</button>
      </form>
      <p class="hint">This server needs a token. The application that it belongs to signs one for each of its users.</p>
      ${problem(error)}
    </main>`;
}

const problem = (error) => (error ? html`<p role="alert" class="error">${error}</p>` : nothing);
