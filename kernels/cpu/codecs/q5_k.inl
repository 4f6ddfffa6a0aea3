// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_q5_k = panelCodec<SixBitLayout<5>>("q5_k");
