/**
 * Compiled into the binding. TensorFlow says how it was built, on the terminal of whoever trains, whatever
 * `TF_CPP_MIN_LOG_LEVEL` is: the variable is read by a part of the library that is not loaded yet. So it is read when
 * the binding is loaded: 0 shows all, 1 (if it is not set) warnings and errors, 2 errors, 3 nothing but what ends the
 * process. The name of the inner namespace is that of the release.
 */
export const QUIET_LOG_SOURCE = `
#include <cstdlib>
namespace absl {
inline namespace lts_20250814 {
enum class LogSeverityAtLeast : int { kWarning = 1 };
void SetMinLogLevel(LogSeverityAtLeast);
}
}
namespace {
const bool quiet = [] {
  const char *level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  absl::SetMinLogLevel(level == nullptr ? absl::LogSeverityAtLeast::kWarning
                                        : static_cast<absl::LogSeverityAtLeast>(std::atoi(level)));
  return true;
}();
}
`
