/** Where the binding says what Node calls when it is loaded. */
export const MODULE_LINE = 'NAPI_MODULE(tfe_binding, InitTFNodeJSBinding)'

/** In its place: the same, and then the log is made quiet. Before that, TensorFlow would set its level again. */
export const QUIET_MODULE = `
void QuietLog();
static napi_value InitQuietly(napi_env env, napi_value exports) {
  napi_value made = InitTFNodeJSBinding(env, exports);
  QuietLog();
  return made;
}
NAPI_MODULE(tfe_binding, InitQuietly)
`

/**
 * TensorFlow says how it was built, on the terminal of whoever trains, whatever `TF_CPP_MIN_LOG_LEVEL` is: of this build,
 * only Python reads the variable. So the binding does. 0 shows all, 1 (if it is not set) warnings and errors, 2 errors, 3
 * nothing but what ends the process. The name of the inner namespace is that of the release.
 */
export const QUIET_LOG_SOURCE = `
#include <cstdlib>
namespace absl {
inline namespace lts_20250814 {
enum class LogSeverityAtLeast : int { kWarning = 1 };
void SetMinLogLevel(LogSeverityAtLeast);
}
}
namespace tfnodejs {
void QuietLog() {
  const char *level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  absl::SetMinLogLevel(level == nullptr ? absl::LogSeverityAtLeast::kWarning
                                        : static_cast<absl::LogSeverityAtLeast>(std::atoi(level)));
}
}
`
