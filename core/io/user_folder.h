// SPDX-License-Identifier: GPL-3.0-or-later
// Where the program keeps things of the user's, by the XDG rules. The folders need not exist.
#pragma once
#include <filesystem>

namespace bitloom {

std::filesystem::path userDataFolder();   // …/bitloom: what is to last
std::filesystem::path userCacheFolder();  // …/bitloom: what can be made again

}  // namespace bitloom
