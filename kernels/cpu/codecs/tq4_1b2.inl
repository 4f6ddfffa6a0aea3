// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq4_1b2 = panelCodec<OneBitLayout<4, 2>>("tq4_1b2");
