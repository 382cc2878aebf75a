"""What people and things of a country are called, in English: 'Japanese' is of Japan."""

_COUNTRIES = """
Afghanistan: Afghan, Afghani
Albania: Albanian
Algeria: Algerian
Angola: Angolan
Argentina: Argentine, Argentinian, Argentinean
Armenia: Armenian
Australia: Australian
Austria: Austrian
Azerbaijan: Azerbaijani
Bangladesh: Bangladeshi
Belarus: Belarusian
Belgium: Belgian
Bolivia: Bolivian
Bosnia and Herzegovina: Bosnian
Brazil: Brazilian
Bulgaria: Bulgarian
Burkina Faso: Burkinabé
Cambodia: Cambodian
Cameroon: Cameroonian
Canada: Canadian
Chile: Chilean
China: Chinese
Colombia: Colombian
Costa Rica: Costa Rican
Croatia: Croatian
Cuba: Cuban
Cyprus: Cypriot
Czech Republic: Czech
Czechoslovakia: Czechoslovak, Czechoslovakian
Denmark: Danish, Dane
Ecuador: Ecuadorian
Egypt: Egyptian
Estonia: Estonian
Ethiopia: Ethiopian
Finland: Finnish, Finn
France: French, Frenchman, Frenchwoman
Georgia: Georgian
Germany: German
Ghana: Ghanaian
Greece: Greek
Guatemala: Guatemalan
Haiti: Haitian
Hungary: Hungarian
Iceland: Icelandic, Icelander
India: Indian
Indonesia: Indonesian
Iran: Iranian
Iraq: Iraqi
Ireland: Irish, Irishman, Irishwoman
Israel: Israeli
Italy: Italian
Ivory Coast: Ivorian
Jamaica: Jamaican
Japan: Japanese
Jordan: Jordanian
Kazakhstan: Kazakh, Kazakhstani
Kenya: Kenyan
Kuwait: Kuwaiti
Latvia: Latvian
Lebanon: Lebanese
Libya: Libyan
Lithuania: Lithuanian
Luxembourg: Luxembourgish
Malaysia: Malaysian
Mali: Malian
Malta: Maltese
Mexico: Mexican
Moldova: Moldovan
Mongolia: Mongolian
Morocco: Moroccan
Nepal: Nepalese, Nepali
Netherlands: Dutch, Dutchman, Dutchwoman
New Zealand: New Zealander
Nicaragua: Nicaraguan
Nigeria: Nigerian
North Korea: North Korean
Norway: Norwegian
Pakistan: Pakistani
Panama: Panamanian
Paraguay: Paraguayan
Peru: Peruvian
Philippines: Filipino, Philippine
Poland: Polish, Pole
Portugal: Portuguese
Puerto Rico: Puerto Rican
Romania: Romanian
Russia: Russian
Rwanda: Rwandan
Saudi Arabia: Saudi, Saudi Arabian
Senegal: Senegalese
Serbia: Serbian, Serb
Singapore: Singaporean
Slovakia: Slovak, Slovakian
Slovenia: Slovene, Slovenian
Somalia: Somali
South Africa: South African
South Korea: South Korean, Korean
Soviet Union: Soviet
Spain: Spanish, Spaniard
Sri Lanka: Sri Lankan
Sudan: Sudanese
Sweden: Swedish, Swede
Switzerland: Swiss
Syria: Syrian
Taiwan: Taiwanese
Tanzania: Tanzanian
Thailand: Thai
Tunisia: Tunisian
Turkey: Turkish, Turk
Uganda: Ugandan
Ukraine: Ukrainian
United Kingdom: British, Briton
United States of America: American
Uruguay: Uruguayan
Uzbekistan: Uzbek
Venezuela: Venezuelan
Vietnam: Vietnamese
Yugoslavia: Yugoslav, Yugoslavian
Zambia: Zambian
Zimbabwe: Zimbabwean
"""

COUNTRIES: dict[str, str] = {
    demonym.strip(): country.strip()
    for country, _, demonyms in (line.partition(":") for line in _COUNTRIES.strip().splitlines())
    for demonym in demonyms.split(",")
}
"""Demonym to country, by its usual short name."""
