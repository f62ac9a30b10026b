/** Parameters of a URL whose values give access: delegation tokens, signatures, passwords of gateways. */
const SECRET_PARAMETERS = /([?&](?:delegation|token|signature|access_token|password)=)[^&#\s"'<>]*/gi
/** The same in the text of an answer, such as `{"urlString":"…"}`. */
const SECRET_FIELDS = /("(?:urlString|token|delegation)"\s*:\s*")[^"]*/gi
/** What identifies a person to a server: cookies and the header that bears credentials. */
const SECRET_HEADERS =
  /((?:hadoop\.auth=|authorization:\s*(?:basic|bearer|negotiate)\s+))("[^"]*"|[^\s;,]+)/gi
/** `https://user:password@host` */
const USER_INFO = /(:\/\/)[^/@\s]+@/g

const HIDDEN = '…'

/** A text without what gives access: fit for errors, logs and places that people see. */
export function redact(text: string): string {
  return text
    .replace(SECRET_PARAMETERS, `$1${HIDDEN}`)
    .replace(SECRET_FIELDS, `$1${HIDDEN}`)
    .replace(SECRET_HEADERS, `$1${HIDDEN}`)
    .replace(USER_INFO, `$1${HIDDEN}@`)
}
