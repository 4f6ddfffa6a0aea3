// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq4_1b8 = panelCodec<OneBitLayout<4, 8>>("tq4_1b8");
