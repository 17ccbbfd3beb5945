// Runs every registered case; the exit code is 1 when one failed, or when there is none.
#include "check.h"

int main() {
  int failed = 0;
  for (const skein::test::Case& test : skein::test::Cases()) {
    const int before = skein::test::Failures();
    test.run();
    if (skein::test::Failures() == before) continue;
    ++failed;
    std::fprintf(stderr, "FAILED %s\n", test.title.c_str());
  }
  const size_t all = skein::test::Cases().size();
  std::printf("%zu passed, %d failed\n", all - static_cast<size_t>(failed), failed);
  return failed == 0 && all > 0 ? 0 : 1;
}
