// SPDX-License-Identifier: GPL-3.0-or-later
// A value or an Error, for everything that can go wrong in the world outside: files, devices,
// databases, input. Member names follow std::expected, which g++ 12 lacks in C++20.
// A message is one sentence that names the object; Cancelled is an outcome, not a failure.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace bitloom {

enum class ErrorCode {
  Cancelled,
  NotFound,
  Corrupt,
  Unsupported,
  InvalidArgument,
  Io,
  OutOfMemory,
  Device,
};

struct Error {
  ErrorCode code = ErrorCode::InvalidArgument;
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : m_state(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : m_state(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return m_state.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return std::get<0>(m_state); }
  const T& value() const& { return std::get<0>(m_state); }
  T&& value() && { return std::get<0>(std::move(m_state)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() { return std::get<1>(m_state); }
  const Error& error() const { return std::get<1>(m_state); }

 private:
  std::variant<T, Error> m_state;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : m_error(std::move(error)) {}

  bool has_value() const { return !m_error; }
  explicit operator bool() const { return has_value(); }
  Error& error() { return *m_error; }
  const Error& error() const { return *m_error; }

 private:
  std::optional<Error> m_error;
};

// TRY(call());             returns the error of `call()` to the caller, if it has one.
// TRY(auto value, call()); and otherwise binds its value.
#define BITLOOM_JOIN2(a, b) a##b
#define BITLOOM_JOIN(a, b) BITLOOM_JOIN2(a, b)
#define BITLOOM_TRY_BIND(name, declaration, ...) \
  auto name = (__VA_ARGS__);                     \
  if (!name) return std::move(name.error());     \
  declaration = *std::move(name)
#define BITLOOM_TRY_ONLY(name, ...)            \
  do {                                         \
    auto name = (__VA_ARGS__);                 \
    if (!name) return std::move(name.error()); \
  } while (false)
#define BITLOOM_TRY_2(declaration, ...) \
  BITLOOM_TRY_BIND(BITLOOM_JOIN(tryResult, __COUNTER__), declaration, __VA_ARGS__)
#define BITLOOM_TRY_1(...) BITLOOM_TRY_ONLY(BITLOOM_JOIN(tryResult, __COUNTER__), __VA_ARGS__)
#define BITLOOM_TRY_PICK(_1, _2, _3, _4, _5, _6, _7, _8, name, ...) name
#define TRY(...)                                                                            \
  BITLOOM_TRY_PICK(__VA_ARGS__, BITLOOM_TRY_2, BITLOOM_TRY_2, BITLOOM_TRY_2, BITLOOM_TRY_2, \
                   BITLOOM_TRY_2, BITLOOM_TRY_2, BITLOOM_TRY_2, BITLOOM_TRY_1, unused)      \
  (__VA_ARGS__)

// For programmer errors only, never for data from outside. On in release too.
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

}  // namespace bitloom
