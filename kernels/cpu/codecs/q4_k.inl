// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_q4_k = panelCodec<SixBitLayout<4>>("q4_k");
