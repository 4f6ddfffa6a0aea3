// SPDX-License-Identifier: GPL-3.0-or-later
// Which process has a run under way, so that a run of a process that died can be told from one that
// another program is still at. Private to the store.
#pragma once
#include <string>
#include <string_view>

namespace bitloom {

// Boot, process number and start time: never the same for two processes, also after a restart.
std::string ownProcess();
bool isAlive(std::string_view process);

}  // namespace bitloom
