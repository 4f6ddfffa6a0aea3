// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq3_1b2 = panelCodec<OneBitLayout<3, 2>>("tq3_1b2");
