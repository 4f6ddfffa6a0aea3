// SPDX-License-Identifier: GPL-3.0-or-later
// A file that is cut short while it is mapped raises SIGBUS at the next read behind its new end.
// A guarded program ends with exit code 1 and one sentence that names the file instead.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace bitloom {

// Installs the handler for the whole process; called once, by `main`. A SIGBUS that has nothing to
// do with a remembered mapping keeps its usual end.
void guardMappings();

// Mappings that the sentence can name; more than 64 at a time, or paths beyond 511 bytes, are named
// in part or not at all. Any thread.
void rememberMapping(std::span<const std::byte> bytes, std::string_view path);
void forgetMapping(std::span<const std::byte> bytes);

}  // namespace bitloom
