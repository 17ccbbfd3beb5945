// The smallest test harness that says where a check failed: tests register themselves, main runs them all.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace skein::test {

struct Case {
  std::string title;
  std::function<void()> run;
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

inline int& Failures() {
  static int failures = 0;
  return failures;
}

struct Register {
  Register(const char* title, std::function<void()> run) { Cases().push_back({title, std::move(run)}); }
};

inline void Check(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  ++Failures();
  std::fprintf(stderr, "  %s:%d: %s\n", file, line, what);
}

}  // namespace skein::test

#define SKEIN_JOIN_(a, b) a##b
#define SKEIN_JOIN(a, b) SKEIN_JOIN_(a, b)
#define CHECK(condition) skein::test::Check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
#define TEST(title)                                                                                     \
  static void SKEIN_JOIN(TestBody, __LINE__)();                                                         \
  static const skein::test::Register SKEIN_JOIN(kRegistered, __LINE__)(title,                           \
                                                                       SKEIN_JOIN(TestBody, __LINE__)); \
  static void SKEIN_JOIN(TestBody, __LINE__)()
